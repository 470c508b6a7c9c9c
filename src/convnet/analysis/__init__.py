"""Look into saved models: feature maps, Grad-CAM, accuracy on perturbed images."""
