"""The command `convnet`: one module per subcommand; nothing here computes."""
