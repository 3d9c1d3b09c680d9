// SPDX-License-Identifier: Apache-2.0
#include "core/fully_connected.h"

bool oaq_fully_connected_create(const OaqFullyConnectedParams* params, const int8_t* weights,
                                const void* bias, const OaqPlanner* planner, OaqFullyConnected* op,
                                OaqError* error) {
  *op = (OaqFullyConnected){
      .params = *params, .kernels = planner->kernels, .threads = planner->threads};
  const OaqWeights matrix = {weights, params->channels, params->products, params->products, 1};
  if (!oaq_pack(&matrix, bias, params->input_zero_point, params->input_range,
                planner->kernels->gemm_layout, &planner->kernels->gemm_cost, planner, &op->packed,
                &op->summary, error)) {
    return false;
  }
  if (!oaq_panels_init(params->products, &op->panels, error)) {
    oaq_packed_free(&op->packed);
    return false;
  }
  return true;
}

void oaq_fully_connected_free(OaqFullyConnected* op) {
  oaq_packed_free(&op->packed);
  oaq_panels_free(&op->panels);
}

bool oaq_fully_connected_reshape(OaqFullyConnected* op, size_t batch, OaqError* error) {
  const double row_macs = (double)op->params.products * (double)op->params.channels;
  op->split = oaq_split(op->threads, batch, op->panels.max_rows, OAQ_GEMM_ROWS,
                        op->packed.num_tiles, row_macs);
  return oaq_panels_reserve(&op->panels, op->split.workers, error);
}

typedef struct Run {
  const OaqFullyConnected* op;
  const int8_t* input;
  int8_t* output;
  bool int16;
} Run;

static void run_part(void* data, size_t index, size_t worker) {
  const Run* run = data;
  const OaqFullyConnectedParams* params = &run->op->params;
  const OaqPart part = oaq_split_part(&run->op->split, index);
  OaqPanel* panel = &run->op->panels.panels[worker];
  for (size_t m = 0; m < part.rows; ++m) {
    const int8_t* row = run->input + (part.first_row + m) * params->products;
    oaq_panel_set_row(panel, m, row, params->products);
  }
  const OaqTiles tiles = {&run->op->packed, part.first_tile, part.end_tile, 0};
  oaq_gemm(panel, part.rows, &tiles, run->op->kernels, &params->requantize, run->int16,
           run->output + part.first_row * params->channels, params->channels);
}

void oaq_fully_connected_run(OaqFullyConnected* op, const int8_t* input, bool int16,
                             int8_t* output) {
  Run run = {op, input, output, int16};
  oaq_threads_run(op->threads, op->split.workers, op->split.parts, run_part, &run);
}
