// GroupNorm for channels-last bfloat16 on a CPU, forward and backward, bound by memory. Built by fastnorm.py.
#include <torch/extension.h>

#include <algorithm>
#include <cmath>
#include <vector>

using at::BFloat16;

static inline float wide(BFloat16 v) { return static_cast<float>(v); }

// x: (N, L, C) contiguous bfloat16; weight and bias: (C) float. Returns y, and mean and 1/deviation per sample and group (N, G).
std::vector<at::Tensor> forward(at::Tensor x, at::Tensor weight, at::Tensor bias, int64_t groups, double eps) {
  const int64_t N = x.size(0), L = x.size(1), C = x.size(2), D = C / groups;
  auto y = at::empty_like(x);
  auto mean = at::empty({N, groups}, at::kFloat), rstd = at::empty({N, groups}, at::kFloat);
  const BFloat16* X = x.data_ptr<BFloat16>();
  BFloat16* Y = y.data_ptr<BFloat16>();
  const float *W = weight.data_ptr<float>(), *B = bias.data_ptr<float>();
  float *M = mean.data_ptr<float>(), *R = rstd.data_ptr<float>();
  at::parallel_for(0, N, 1, [&](int64_t from, int64_t to) {
    std::vector<float> sum(C), square(C), scale(C), shift(C);
    for (int64_t n = from; n < to; n++) {
      std::fill(sum.begin(), sum.end(), 0.f);
      std::fill(square.begin(), square.end(), 0.f);
      const BFloat16* xp = X + n * L * C;
      BFloat16* yp = Y + n * L * C;
      float *sp = sum.data(), *qp = square.data(), *ap = scale.data(), *cp = shift.data();
      for (int64_t l = 0; l < L; l++) {
        const BFloat16* row = xp + l * C;
#pragma GCC ivdep
        for (int64_t k = 0; k < C; k++) {
          const float v = wide(row[k]);
          sp[k] += v;
          qp[k] += v * v;
        }
      }
      for (int64_t g = 0; g < groups; g++) {
        double total = 0, squares = 0;
        for (int64_t k = g * D; k < (g + 1) * D; k++) {
          total += sum[k];
          squares += square[k];
        }
        const double m = total / (L * D), var = std::max(0.0, squares / (L * D) - m * m), r = 1 / std::sqrt(var + eps);
        M[n * groups + g] = m;
        R[n * groups + g] = r;
        for (int64_t k = g * D; k < (g + 1) * D; k++) {
          scale[k] = W[k] * r;
          shift[k] = B[k] - m * r * W[k];
        }
      }
      for (int64_t l = 0; l < L; l++) {
        const BFloat16* row = xp + l * C;
        BFloat16* out = yp + l * C;
#pragma GCC ivdep
        for (int64_t k = 0; k < C; k++) out[k] = BFloat16(wide(row[k]) * ap[k] + cp[k]);
      }
    }
  });
  return {y, mean, rstd};
}

// Returns the gradients of x (N, L, C), weight (C) and bias (C).
std::vector<at::Tensor> backward(at::Tensor dy, at::Tensor x, at::Tensor weight, at::Tensor mean, at::Tensor rstd) {
  const int64_t N = x.size(0), L = x.size(1), C = x.size(2), G = mean.size(1), D = C / G;
  auto dx = at::empty_like(x);
  auto dw = at::zeros({N, C}, at::kFloat), db = at::zeros({N, C}, at::kFloat);
  const BFloat16 *X = x.data_ptr<BFloat16>(), *DY = dy.data_ptr<BFloat16>();
  BFloat16* DX = dx.data_ptr<BFloat16>();
  const float *W = weight.data_ptr<float>(), *M = mean.data_ptr<float>(), *R = rstd.data_ptr<float>();
  float *DW = dw.data_ptr<float>(), *DB = db.data_ptr<float>();
  at::parallel_for(0, N, 1, [&](int64_t from, int64_t to) {
    std::vector<float> scale(C), slope(C), shift(C);
    for (int64_t n = from; n < to; n++) {
      const BFloat16 *xp = X + n * L * C, *gp = DY + n * L * C;
      BFloat16* op = DX + n * L * C;
      float *sx = DW + n * C, *sy = DB + n * C, *ap = scale.data(), *pp = slope.data(), *cp = shift.data();
      for (int64_t l = 0; l < L; l++) {
        const BFloat16 *row = xp + l * C, *grad = gp + l * C;
#pragma GCC ivdep
        for (int64_t k = 0; k < C; k++) {
          const float d = wide(grad[k]);
          sy[k] += d;
          sx[k] += d * wide(row[k]);
        }
      }
      for (int64_t g = 0; g < G; g++) {
        const float m = M[n * G + g], r = R[n * G + g];
        double along = 0, total = 0;
        for (int64_t k = g * D; k < (g + 1) * D; k++) {
          sx[k] = (sx[k] - m * sy[k]) * r;
          along += static_cast<double>(W[k]) * sx[k];
          total += static_cast<double>(W[k]) * sy[k];
        }
        // dx = weight r dy + q x + t
        const float share = 1.f / (L * D), q = -r * r * along * share, t = -r * total * share - q * m;
        for (int64_t k = g * D; k < (g + 1) * D; k++) {
          scale[k] = W[k] * r;
          slope[k] = q;
          shift[k] = t;
        }
      }
      for (int64_t l = 0; l < L; l++) {
        const BFloat16 *row = xp + l * C, *grad = gp + l * C;
        BFloat16* out = op + l * C;
#pragma GCC ivdep
        for (int64_t k = 0; k < C; k++) out[k] = BFloat16(wide(grad[k]) * ap[k] + wide(row[k]) * pp[k] + cp[k]);
      }
    }
  });
  return {dx, dw.sum(0), db.sum(0)};
}
