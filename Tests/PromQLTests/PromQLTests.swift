// SPDX-License-Identifier: Apache-2.0
// Tests of PromQL.

import Testing
