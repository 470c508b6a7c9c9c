"""What the measurements share: sides that alternate, medians and ratios, watched processes, and images to work on."""
