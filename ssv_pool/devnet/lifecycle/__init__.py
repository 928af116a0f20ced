"""A validator's whole life on the devnet: from stakers' deposits to their payout, each step seen on the chains."""
