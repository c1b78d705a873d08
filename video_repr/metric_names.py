"""How tables call the metrics. No NumPy: `--help` imports this."""

# Names of the metrics in tables, with their unit.
IN_WORDS = {
    "bce_sum_per_frame": "cross entropy, nats a frame",
    "half_sse_per_frame": "half the squared error, sum of a frame",
    "mse_sum_per_frame": "squared error, sum of a frame",
    "mae_sum_per_frame": "absolute error, sum of a frame",
    "ssim": "SSIM",
    "ssim_openstl": "SSIM of OpenSTL",
    "psnr": "PSNR, dB",
}
