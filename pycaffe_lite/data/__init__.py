"""Where data come from and what is done to them on the way into a net; no layers here."""
