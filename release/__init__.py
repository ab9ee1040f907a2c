"""What a release is made of and checked against; none of it is in the package."""
