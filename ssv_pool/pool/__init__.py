"""What the pool does with validators: key shares files, registration, exits."""
