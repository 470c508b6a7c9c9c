"""All that differs between TensorFlow and JAX, CPU and GPU. The only package that imports TensorFlow."""
