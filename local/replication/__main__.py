"""`python -m local.replication DIRECTORY`: replicate what the directory's plan says."""

from local.replication.process import main

main()
