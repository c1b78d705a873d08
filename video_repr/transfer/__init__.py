"""What an encoder is worth where labels are few."""
