"""From duty journals to figures and plots."""
