//! Every fused operation's gradients are those of candle's own operations, in sizes that take more than one piece.

use candle_core::{D, Device, Result, Tensor, Var};

use super::{
    add, attention, conv2d, geglu, group_norm, join, layer_norm, linear_onto, linear_with_bias, shift, silu, swap,
    upsample,
};

/// Numbers without a pattern, the same every time.
fn numbers(seed: u32, dims: &[usize]) -> Var {
    let count: usize = dims.iter().product();
    let mut state = seed.wrapping_mul(747_796_405).wrapping_add(2_891_336_453);
    let values: Vec<f32> = (0..count)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / 8_388_608.0 - 1.0
        })
        .collect();
    Var::from_vec(values, dims, &Device::Cpu).unwrap()
}

/// Compares values and the gradients of all inputs.
fn same(
    name: &str,
    inputs: &[Var],
    fused: impl Fn(&[&Tensor]) -> Result<Tensor>,
    plain: impl Fn(&[&Tensor]) -> Result<Tensor>,
) {
    let tensors: Vec<&Tensor> = inputs.iter().map(Var::as_tensor).collect();
    let (a, b) = (fused(&tensors).unwrap(), plain(&tensors).unwrap());
    let weights = numbers(99, b.dims());
    let gradients = |y: &Tensor| (y * weights.as_tensor().detach()).unwrap().sum_all().unwrap().backward().unwrap();
    let (of_fused, of_plain) = (gradients(&a), gradients(&b));
    let check = |what: String, a: &Tensor, b: &Tensor| {
        let most = |t: &Tensor| t.abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap();
        let (difference, size) = (most(&(a - b).unwrap()), most(b));
        assert!(difference <= 2e-5 * size.max(1.0), "{name}: {what} differs by {difference} of {size}");
    };
    check("the value".into(), &a, &b);
    for (i, input) in inputs.iter().enumerate() {
        let (a, b) = (of_fused.get(input.as_tensor()), of_plain.get(input.as_tensor()));
        check(format!("gradient {i}"), a.unwrap_or_else(|| panic!("{name}: gradient {i} is cut")), b.unwrap());
    }
}

#[test]
fn of_layers() {
    let [x, w, b] = [numbers(1, &[3, 70, 24]), numbers(2, &[40, 24]), numbers(3, &[40])];
    let product = |x: &Tensor, w: &Tensor| x.flatten_to(1)?.matmul(&w.t()?)?.reshape((3, 70, ()));
    same(
        "linear",
        &[x.clone(), w.clone(), b],
        |i| linear_with_bias(i[0], i[1], i[2]),
        |i| product(i[0], i[1])?.broadcast_add(i[2]),
    );
    same("onto", &[numbers(4, &[3, 70, 40]), x, w], |i| linear_onto(i[0], i[1], i[2]), |i| i[0] + product(i[1], i[2])?);
    // Of a halved picture candle's own gradient takes sides that are both even or both odd.
    for (kernel, stride, padding, height, width) in
        [(3, 1, 1, 19, 33), (3, 2, 1, 18, 22), (3, 2, 0, 19, 21), (1, 1, 0, 40, 40)]
    {
        let inputs = [numbers(5, &[2, 6, height, width]), numbers(6, &[7, 6, kernel, kernel]), numbers(7, &[7])];
        let plain =
            |i: &[&Tensor]| i[0].conv2d(i[1], padding, stride, 1, 1)?.broadcast_add(&i[2].reshape((1, 7, 1, 1))?);
        same(&format!("conv2d {kernel} {stride}"), &inputs, |i| conv2d(i[0], i[1], i[2], stride, padding), plain);
    }
}

#[test]
fn of_attention_over_more_queries_than_one_piece() {
    let inputs = [numbers(1, &[2, 600, 12]), numbers(2, &[2, 37, 12]), numbers(3, &[2, 37, 12])];
    let split = |t: &Tensor| t.reshape((2, (), 3, 4))?.transpose(1, 2)?.contiguous();
    same(
        "attention",
        &inputs,
        |i| attention(i[0], i[1], i[2], 3),
        |i| {
            let scores = (split(i[0])?.matmul(&split(i[1])?.t()?)? * 0.5)?;
            let seen = candle_nn::ops::softmax(&scores, D::Minus1)?.matmul(&split(i[2])?)?;
            seen.transpose(1, 2)?.contiguous()?.flatten_from(2)
        },
    );
}

#[test]
fn of_normalisations_with_frozen_scales() {
    let (w, b) = (numbers(2, &[6]), numbers(3, &[6]));
    let (w, b) = (w.as_tensor().detach(), b.as_tensor().detach());
    let wide = |t: &Tensor| t.reshape((1, 6, 1, 1));
    for silu in [false, true] {
        same(
            "group_norm",
            &[numbers(1, &[2, 6, 9, 11])],
            |i| group_norm(i[0], &w, &b, 3, 1e-5, silu),
            |i| {
                let x = i[0].reshape((2, 3, ()))?;
                let centred = x.broadcast_sub(&x.mean_keepdim(2)?)?;
                let deviation = (centred.sqr()?.mean_keepdim(2)? + 1e-5)?.sqrt()?;
                let y = centred.broadcast_div(&deviation)?.reshape((2, 6, 9, 11))?;
                let y = y.broadcast_mul(&wide(&w)?)?.broadcast_add(&wide(&b)?)?;
                if silu { y.silu() } else { Ok(y) }
            },
        );
    }
    let plain = |i: &[&Tensor]| candle_nn::ops::layer_norm_slow(i[0], &w, &b, 1e-5);
    same("layer_norm", &[numbers(4, &[150, 6])], |i| layer_norm(i[0], &w, &b, 1e-5), plain);
}

#[test]
fn of_activations_and_moves() {
    same("silu", &[numbers(1, &[5, 9])], |i| silu(i[0]), |i| i[0].silu());
    same(
        "geglu",
        &[numbers(2, &[5, 18])],
        |i| geglu(i[0]),
        |i| i[0].narrow(1, 0, 9)? * i[0].narrow(1, 9, 9)?.gelu_erf()?,
    );
    same("add", &[numbers(3, &[4, 5]), numbers(4, &[4, 5])], |i| add(i[0], i[1]), |i| i[0] + i[1]);
    same("swap", &[numbers(5, &[2, 70, 45])], |i| swap(i[0]), |i| i[0].transpose(1, 2)?.contiguous());
    let parts = [numbers(6, &[2, 3, 4]), numbers(7, &[2, 5, 4])];
    same("join", &parts, |i| join(i[0], i[1]), |i| Tensor::cat(i, 1));
    let shifted = [numbers(8, &[2, 3, 4, 5]), numbers(9, &[2, 3])];
    same("shift", &shifted, |i| shift(i[0], i[1]), |i| i[0].broadcast_add(&i[1].reshape((2, 3, 1, 1))?));
    same("upsample", &[numbers(10, &[2, 3, 4, 5])], |i| upsample(i[0], (8, 10)), |i| i[0].upsample_nearest2d(8, 10));
    // candle has no gradient of a picture that is one less than twice as large; its own is that of the cut one.
    let cut = |i: &[&Tensor]| i[0].upsample_nearest2d(8, 10)?.narrow(2, 0, 7)?.narrow(3, 0, 9)?.contiguous();
    same("upsample to odd sides", &[numbers(11, &[2, 3, 4, 5])], |i| upsample(i[0], (7, 9)), cut);
}
