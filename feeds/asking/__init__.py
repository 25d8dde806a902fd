"""One poll's HTTP: whether a feed may be asked now, the request, and what follows from the answer.

PURE rules, each with its outcome: `headers`, `validators`, `freshness`, `backoff`, `gone`, `moves`,
`permission`, `decoding`. The request: `fetching` (redirects), `client` (connections), `pace`,
`hosts`, `network` (whether ours works), `user_agent`. The rows: `check` (before a run), `recording`
(after it), `moving`.
"""
