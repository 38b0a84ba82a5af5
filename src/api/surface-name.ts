/** As keys, metrics and the history name this API. */
export const surfaceName = 'api';
