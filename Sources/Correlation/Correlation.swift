// SPDX-License-Identifier: Apache-2.0
// Front door of Correlation.

/// Entities, service index and trace index, filled at ingest, answered by look-up.
package enum Correlation {}
