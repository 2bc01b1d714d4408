// SPDX-License-Identifier: Apache-2.0
// Front door of Storage.

/// What all stores share: log, parts, manifest, seams, compaction, retention; knows no label.
package enum Storage {}
