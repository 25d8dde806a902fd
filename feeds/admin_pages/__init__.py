"""What `feeds.admin` registers, a page or a subject each."""
