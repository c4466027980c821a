export { type Measurement, median } from './measurement.ts';
