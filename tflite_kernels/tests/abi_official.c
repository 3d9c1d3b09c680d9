// SPDX-License-Identifier: Apache-2.0
#include "abi_fields.h"
#include "tensorflow/lite/c/common.h"

const Field abi_official_fields[] = {ABI_FIELDS};
const Value abi_official_values[] = {ABI_VALUES};
const size_t abi_official_registration_size = sizeof(TfLiteRegistration);
const size_t abi_official_delegate_size = sizeof(TfLiteDelegate);
