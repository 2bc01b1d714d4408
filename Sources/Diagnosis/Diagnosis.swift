// SPDX-License-Identifier: Apache-2.0
// Front door of Diagnosis.

/// What differs between two stretches of time, and where.
package enum Diagnosis {}
