"""WebSub (W3C), formerly PubSubHubbub: a hub tells us when a feed has changed.

Only if the site has a public address, FEEDS_PUBLIC_URL. What a hub pushes is not stored: it makes
the feed's schedule poll now. PURE rules: `offers` (what a feed names), `rules` (what is to be done
with a subscription, and what a hub may say of it), `signatures`. The rest: `noting` (after a poll),
`upkeep` (asks hubs, by `hub`), `callback` (where hubs come), `pushes`, `words`, `public_url`.
"""
