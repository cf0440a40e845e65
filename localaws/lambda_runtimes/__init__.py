"""What runs the code of a deployed function: a process as in AWS, or this process on a clock that tests turn."""
