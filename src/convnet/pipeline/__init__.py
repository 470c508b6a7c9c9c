"""What dvc.yaml and make need besides DVC: code digests, plans, pruning, the plots page, the end of a run."""
