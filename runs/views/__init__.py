"""The pages of chats and runs."""
