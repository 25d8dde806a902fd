"""The pages of feeds in the admin, a subject each; `feeds.admin` registers them."""
