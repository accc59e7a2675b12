"""What is asked of a finished estimate, one file each: epochs, references, sensitivity, physics."""
