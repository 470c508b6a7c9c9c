"""The networks as functions of their settings: CNN, backbones, heads, augmentation layer."""
