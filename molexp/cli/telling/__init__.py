"""What commands understand and say: what a user means, what there is to tell, how it is printed."""
