// SPDX-License-Identifier: Apache-2.0
#include "core/fully_connected.h"

#include "core/size.h"

bool oaq_fully_connected_create(const OaqFullyConnectedParams* params, const int8_t* weights,
                                const void* bias, const OaqPlanner* planner, OaqFullyConnected* op,
                                OaqError* error) {
  *op = (OaqFullyConnected){.params = *params, .kernels = planner->kernels};
  const OaqWeights matrix = {weights, params->channels, params->products, params->products, 1};
  if (!oaq_pack(&matrix, bias, params->input_zero_point, params->input_range,
                planner->kernels->gemm_layout, &planner->kernels->gemm_cost, planner->policy,
                &op->packed, &op->summary, error)) {
    return false;
  }
  if (!oaq_panel_create(params->products, &op->panel, error)) {
    oaq_packed_free(&op->packed);
    return false;
  }
  return true;
}

void oaq_fully_connected_free(OaqFullyConnected* op) {
  oaq_packed_free(&op->packed);
  oaq_panel_free(&op->panel);
}

void oaq_fully_connected_run(OaqFullyConnected* op, size_t batch, const int8_t* input, bool int16,
                             int8_t* output) {
  const size_t products = op->params.products;
  for (size_t begin = 0; begin < batch; begin += op->panel.max_rows) {
    const size_t rows = oaq_min_size(op->panel.max_rows, batch - begin);
    for (size_t m = 0; m < rows; ++m) {
      oaq_panel_set_row(&op->panel, m, input + (begin + m) * products, products);
    }
    oaq_gemm(&op->panel, rows, &op->packed, op->kernels, &op->params.requantize, 0, int16,
             output + begin * op->params.channels, op->params.channels);
  }
}
