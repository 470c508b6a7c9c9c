"""What the measurements share: sides that alternate, medians and ratios, watched processes, and pictures to work on."""
