"""Episodes of tasks that nobody recorded, composed of recorded grasps and tried in simulation."""
