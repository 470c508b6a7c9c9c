"""What dvc.yaml and make need besides DVC: code digests, pruning, the plots page."""
