// SPDX-License-Identifier: Apache-2.0
// Front door of Ingest.

/// Admission and the one commit that reaches stores and index.
package enum Ingest {}
