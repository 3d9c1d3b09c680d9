// SPDX-License-Identifier: Apache-2.0
#include "core/fully_connected.h"

#include <string.h>

#include "core/size.h"

bool oaq_fully_connected_create(const OaqFullyConnectedParams* params, const int8_t* weights,
                                const void* bias, const OaqPlanner* planner, OaqFullyConnected* op,
                                OaqError* error) {
  *op = (OaqFullyConnected){.params = *params,
                            .gemm = oaq_kernels_gemm(planner->kernels, params->channels),
                            .output = planner->kernels->output,
                            .threads = planner->threads,
                            .use = {.scratch = planner->scratch}};
  const OaqWeights matrix = {weights, params->channels, params->products, params->products, 1};
  const OaqGemm* gemm = op->gemm;
  const OaqPacking packing = oaq_gemm_packing(gemm);
  bool created = oaq_output_stage_init(&params->requantize, params->channels, &op->stage, error) &&
                 oaq_pack(&matrix, bias, params->input_zero_point, params->input_range, &packing,
                          planner, &op->packed, &op->summary, error);
  const bool wide = op->packed.any_wide || (planner->any_codes && gemm->shifted);
  created = created && oaq_panels_init(params->products, gemm, wide, &op->panels, error);
  if (!created) oaq_fully_connected_free(op);
  return created;
}

void oaq_fully_connected_free(OaqFullyConnected* op) {
  oaq_packed_free(&op->packed);
  oaq_output_stage_free(&op->stage);
}

size_t oaq_fully_connected_bytes(const OaqFullyConnected* op) {
  return op->stage.bytes + oaq_packed_bytes(&op->packed);
}

bool oaq_fully_connected_reshape(OaqFullyConnected* op, size_t batch, OaqError* error) {
  const double row_macs = (double)op->params.products * (double)op->params.channels;
  op->split = oaq_split(op->threads, batch, op->panels.max_rows, op->gemm->rows,
                        op->packed.num_tiles, row_macs);
  op->use.size = 0;
  op->use.workers = op->split.workers;
  // Panels are wide where the op may meet any codes.
  if (oaq_gemm_reads_in_place(&op->packed, op->gemm, op->panels.wide)) return true;
  return oaq_panels_add(&op->panels, oaq_min_size(op->split.part_rows, batch), &op->use.size,
                        error) &&
         oaq_scratch_reserve(&op->use, error);
}

typedef struct Run {
  const OaqFullyConnected* op;
  const int8_t* input;
  int8_t* output;
  bool any_codes;
} Run;

static OaqInput fill_panel(const Run* run, const OaqPart* part, size_t worker) {
  const OaqFullyConnected* op = run->op;
  const size_t products = op->params.products;
  const OaqPanel panel = oaq_panels_at(&op->panels, oaq_scratch_worker(&op->use, worker));
  for (size_t m = 0; m < part->rows; ++m) {
    memcpy(oaq_panel_row(&op->panels, &panel, m), run->input + (part->first_row + m) * products,
           products);
  }
  return oaq_panel_finish(&op->panels, &panel, part->rows, &op->packed);
}

static void run_part(void* data, size_t index, size_t worker) {
  const Run* run = data;
  const OaqFullyConnected* op = run->op;
  const size_t products = op->params.products;
  const OaqPart part = oaq_split_part(&op->split, index);
  const OaqInput rows =
      oaq_gemm_reads_in_place(&op->packed, op->gemm, run->any_codes)
          ? oaq_rows_in_place(&op->packed, run->input + part.first_row * products, part.rows)
          : fill_panel(run, &part, worker);
  const OaqTiles tiles = {&op->packed, part.first_tile, part.end_tile, 0};
  oaq_gemm(&rows, &tiles, op->gemm, op->output, &op->stage, run->any_codes,
           run->output + part.first_row * op->params.channels, op->params.channels);
}

void oaq_fully_connected_run(OaqFullyConnected* op, const int8_t* input, bool any_codes,
                             int8_t* output) {
  Run run = {op, input, output, any_codes};
  oaq_threads_run(op->threads, op->split.workers, op->split.parts, run_part, &run);
}
