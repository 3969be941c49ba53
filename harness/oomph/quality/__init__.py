"""What a setting costs in quality: texts and tasks, paired with a reference setting."""
