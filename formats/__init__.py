"""The meaning of an avatar and of a picture, and every file that holds one. Imports no other room."""
