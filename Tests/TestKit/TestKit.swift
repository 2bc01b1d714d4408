// SPDX-License-Identifier: Apache-2.0
// Front door of TestKit: what the tests of all targets share.

/// Fake clock, faulty disk, generators, golden files. Never linked into the product.
package enum TestKit {}
