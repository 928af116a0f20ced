"""What crosses process boundaries: the broker, the typed commands and their one codec, claims and health."""
