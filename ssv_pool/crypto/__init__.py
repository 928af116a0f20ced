"""Keys and signatures: BLS, Shamir sharing, operators' RSA keys, and the files that hold them encrypted."""
