"""What this package changes in moto, one module for each subject; each says what it patches and why."""
