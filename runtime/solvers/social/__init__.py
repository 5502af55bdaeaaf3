"""What is best for all together: values of a team, and the ascent along their exact gradient."""
