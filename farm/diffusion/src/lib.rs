//! Stable-Diffusion-shaped models on candle: text encoder, UNet, VAE, samplers, IP-Adapter.
