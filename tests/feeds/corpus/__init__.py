"""feedparser's own corpus, read by our parser: what it expects is what we find, or it is explained.

`python -m tests.feeds.corpus [PATH]` prints how many expectations are kept, and which are not. PATH
is feedparser's source distribution, packed or unpacked; without it pip fetches that of the version
which is installed. It ends with 1 if anything is unexplained, or explained and yet kept.
"""
