// SPDX-License-Identifier: Apache-2.0
// Front door of Server.

/// Endpoints by client family, configuration and composition.
package enum Server {}
