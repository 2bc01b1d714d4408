// SPDX-License-Identifier: Apache-2.0
// Front door of LogQL.

/// Parser, planner, stages and metric queries over logs.
package enum LogQL {}
