"""What monitoring looks at, computes, shows and warns of. Pure."""
