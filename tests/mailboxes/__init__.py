"""Mail that lies on other servers: taken once, and left as it was."""
