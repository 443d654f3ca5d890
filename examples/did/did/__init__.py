"""Did: a language model by deletion and insertion. Training deletes tokens, writing inserts them, anywhere."""
