// SPDX-License-Identifier: Apache-2.0
// Front door of PromQL.

/// Parser, planner, evaluator and the vector algebra.
package enum PromQL {}
