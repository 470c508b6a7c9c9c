"""One model's numbers from saved predictions; trivial baselines; learning curve; model selection."""
